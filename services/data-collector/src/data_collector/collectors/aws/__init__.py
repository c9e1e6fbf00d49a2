"""The provider `aws`: CloudWatch metrics and the inventory of EC2, EBS, VPC, RDS, ELB and EKS."""

from data_collector.collectors.aws.plugin import AwsProvider

provider = AwsProvider()

__all__ = ["AwsProvider", "provider"]
