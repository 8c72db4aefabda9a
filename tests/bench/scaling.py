def measure_scaling(options):
    return []
