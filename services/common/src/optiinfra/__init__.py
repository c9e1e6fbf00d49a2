"""What every OptiInfra service shares."""
