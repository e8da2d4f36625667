"""English sentences that know what they were made of, so that a page can say them in its reader's language.

A sentence is a string: logs, the command line, programs and the database see plain English and need not know. Only the
web looks at ``template`` and ``values`` (``opsconsole.web.said``).
"""

from collections.abc import Iterable, Mapping


class Sentence(str):
    """``Sentence("No group {name}.", name=name)``: the English text, with the template and the values it was made of.

    Without values the text is its own template and braces in it stay as they are. A value may be a sentence itself.
    Values are only ever put in, never read as a template.
    """

    template: str
    values: Mapping[str, object]

    def __new__(cls, template: str, /, **values: object) -> "Sentence":
        """Returns ``template`` with ``values`` in it; a sentence without values is given back as it is."""
        if not values and isinstance(template, Sentence):
            return template
        made = super().__new__(cls, template.format_map(values) if values else template)
        made.template = template
        made.values = values
        return made

    def __getnewargs_ex__(self) -> tuple[tuple[str], dict[str, object]]:
        """What a copy or a pickle is made from."""
        return (str(self.template),), dict(self.values)


def joined(separator: str, parts: Iterable[str]) -> Sentence:
    """Returns ``parts`` one after the other, with ``separator`` (no braces) between; each is translated by itself."""
    named = {f"part{at}": part for at, part in enumerate(parts)}
    return Sentence(separator.join(f"{{{name}}}" for name in named), **named)
