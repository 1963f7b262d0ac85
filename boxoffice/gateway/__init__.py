"""The front door: HTTP for shops, web pages and phones. It holds nothing that matters; any instance can die."""
