"""A fax on its way out: submitted, prepared, dispatched, its result, what follows."""
