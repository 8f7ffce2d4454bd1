"""Videos that clients have sent: kept as files, and opened where somebody asks about them."""
