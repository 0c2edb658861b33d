"""Order fulfilment: reserve stock, review above a limit, charge, ship; and undo what was done when something fails."""
