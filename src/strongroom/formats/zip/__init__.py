"""ZIP with WinZip AES."""
