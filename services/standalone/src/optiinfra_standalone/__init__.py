"""The `optiinfra` command: every service, the worker and beat in one process."""
