// Loads a page anew for as long as it tells of something that is under way; without script there is a link for that.
const seconds = Number(/** @type {HTMLElement | null} */ (document.querySelector("[data-refresh]"))?.dataset.refresh);
if (seconds) setTimeout(() => location.reload(), seconds * 1000);
