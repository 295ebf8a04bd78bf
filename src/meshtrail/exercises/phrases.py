"""What the engine itself says, in every language; what an exercise says stands in its words.yaml."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from meshtrail.errors import MeshtrailError
from meshtrail.exercises.reading import LANGUAGES

TEXTS = {
    "done": ("done", "готово"),
    "missing": ("missing", "не хватает"),
    "wrong": ("wrong", "неверно"),
    "look": ("look", "где смотреть"),
    "starting": ("starting {what} ...", "запускаю {what} ..."),
    "replacing": (
        "the mesh '{name}' runs {what}: it is stopped, and started so again by `meshtrail exercise reset`",
        "в сетке '{name}' работает {what}: она остановлена, `meshtrail exercise reset` запустит её снова",
    ),
    "gone": (
        "the mesh '{name}' does not run any more: nothing to give back",
        "сетка '{name}' больше не работает: возвращать нечего",
    ),
    "back_to": ("starting {what} again ...", "снова запускаю {what} ..."),
    "started": ("Exercise {title}: the scene is set.", "Упражнение {title}: всё подготовлено."),
    "page": ("The page: {path}", "Страница: {path}"),
    "next": (
        "Then: meshtrail exercise check {number}; stuck: meshtrail exercise hint {number}",
        "Затем: meshtrail exercise check {number}; подсказка: meshtrail exercise hint {number}",
    ),
    "before": (
        "exercise {title} is reset first",
        "сначала сбрасывается упражнение {title}",
    ),
    "reset": ("Exercise {title}: everything is as it was.", "Упражнение {title}: всё как было."),
    "nothing": ("No exercise is started: nothing to reset.", "Ни одно упражнение не начато: сбрасывать нечего."),
    "solved": ("Solved.", "Решено."),
    "open": ("Not yet.", "Пока нет."),
    "hint": ("Hint {number} of {count}", "Подсказка {number} из {count}"),
    "last_hint": (
        "That was the last one; the solution: meshtrail exercise solve {number}",
        "Это была последняя; решение: meshtrail exercise solve {number}",
    ),
    "is_started": ("started", "начато"),
    "is_solved": ("solved", "решено"),
    "minutes": ("{minutes} min", "{minutes} мин"),
    "applying": ("applying {what} to namespace {namespace} ...", "применяю {what} в пространстве имён {namespace} ..."),
    "waiting": ("waiting for the pods ...", "жду готовности подов ..."),
    "removing": (
        "{what} is in namespace {namespace}: it is taken away, and given back by `meshtrail exercise reset`",
        "в пространстве имён {namespace} — {what}: убираю, `meshtrail exercise reset` вернёт",
    ),
}


@dataclass(frozen=True, slots=True)
class Phrases:
    language: str

    def __call__(self, phrase: str, /, **values: object) -> str:
        return TEXTS[phrase][LANGUAGES.index(self.language)].format(**values)

    def starting(self, application: str, form: Sequence[str]) -> str:
        return self("starting", what=" ".join([application, *(f"--form {one}" for one in form)]))

    def replacing(self, name: str, what: str) -> str:
        return self("replacing", name=name, what=what)

    def gone(self, name: str) -> str:
        return self("gone", name=name)

    def back_to(self, what: str) -> str:
        return self("back_to", what=what)


def chosen(environment: dict[str, str]) -> str:
    """The language of LC_ALL, LC_MESSAGES or LANG, English where that is another one."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = environment.get(name)
        if value:
            return "ru" if value.lower().startswith("ru") else "en"
    return "en"


def checked(language: str) -> str:
    if language not in LANGUAGES:
        raise MeshtrailError(f"no language '{language}'", mend=f"take one of: {', '.join(LANGUAGES)}")
    return language
