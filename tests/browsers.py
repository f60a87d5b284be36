"""What a browser noted of a page."""

import json


def complaints(browser):
    """Errors on the console."""
    return [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def outside(browser):
    """Requests that left the page."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    return [url for url in urls if not url.startswith(("file:", "blob:", "data:"))]
