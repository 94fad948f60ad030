"""What live traffic is measured against, and how it is watched."""
