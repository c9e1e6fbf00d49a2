"""The FastAPI kit that every service is built with.

Routes differ from service to service; how they authenticate, refuse, page, stream and are
observed does not.
"""
