"""The read side: projections, their runner, the shipped read models and reports. It never calls the runtime."""
