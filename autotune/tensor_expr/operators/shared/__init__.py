"""What several operators are made of: windows, convolutions, pooling, dtypes and names of axes."""
