// The one-time link shows a form, so that a mail scanner's GET does not use it up; a person's browser sends it at once.
/** @type {HTMLFormElement | null} */ (document.querySelector("form[data-auto]"))?.requestSubmit();
