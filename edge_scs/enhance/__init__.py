"""What a user calls on pictures, files and folders."""
