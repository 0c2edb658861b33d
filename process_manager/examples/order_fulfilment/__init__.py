"""Order fulfilment: reserve stock, review above a limit, charge, ship; and undo what was done when something fails."""

from process_manager import App
from process_manager.examples.order_fulfilment.handlers import HANDLERS
from process_manager.examples.order_fulfilment.process import OrderFulfilment

app = App(name="order_fulfilment", processes=[OrderFulfilment], handlers=HANDLERS)
