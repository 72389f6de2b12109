"""What an operator sees: metrics, alarms, and whether the parts of the process are well."""
