"""The provider `host`: this machine through psutil, others through their node_exporter."""

from data_collector.collectors.host.plugin import HostProvider

provider = HostProvider()

__all__ = ["HostProvider", "provider"]
