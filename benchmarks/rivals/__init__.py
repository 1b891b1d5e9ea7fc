"""What an expert writes by hand for each workload: one file for each framework, functions of equal names."""
