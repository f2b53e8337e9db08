"""What keeps an installation sound: clocks that jump, disks that fill, keys, what a backup did not know."""
