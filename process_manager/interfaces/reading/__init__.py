"""What a log says, without changing it: histories of instances, lists of instances, pending deadlines, the flow of cases, the views."""
