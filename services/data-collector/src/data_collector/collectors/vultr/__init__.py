"""The provider `vultr`: its API v2, and node_exporter on the instances that run it."""

from data_collector.collectors.vultr.plugin import VultrProvider

provider = VultrProvider()

__all__ = ["VultrProvider", "provider"]
