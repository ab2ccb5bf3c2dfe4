"""An order service, as articles teach it."""
