"""Stand-ins for other libraries, on top of Rooms: for code that was written for them."""
