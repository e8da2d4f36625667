"""A page in the hands of somebody without a mouse."""

from playwright.sync_api import Page


def tab_to(page: Page, wanted: str, most: int = 60) -> int:
    """Presses Tab until the focus is on what the selector ``wanted`` names. Returns how often, at most ``most``."""
    for presses in range(most + 1):
        if page.evaluate("(wanted) => document.activeElement.matches(wanted)", wanted):
            return presses
        page.keyboard.press("Tab")
    raise AssertionError(f"no way to {wanted} by {most} Tabs")
