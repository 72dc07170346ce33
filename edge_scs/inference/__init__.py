"""Running a network on whole images: one contract for torch and for exported programs."""
