"""Order fulfilment: reserve stock, review above a limit, charge, ship; and undo what was done when something fails.

Read `process` first: it is the whole flow. `messages` are its events and commands, `handlers` carry the commands out on the aggregates in
`inventory`, `reviews`, `payment` and `shipping`, which hold the business rules. `orders` and `demo` only make orders for `pm demo`.
"""

from process_manager import App
from process_manager.examples.order_fulfilment.handlers import HANDLERS
from process_manager.examples.order_fulfilment.process import OrderFulfilment

app = App(name="order_fulfilment", processes=[OrderFulfilment], handlers=HANDLERS)
