"""A chapter from outside the package: how much it takes to add one."""
