"""Arguments of the command line, checked as they are read: a wrong call is one sentence."""

from __future__ import annotations

import argparse
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn

from thesislib.errors import ThesisError
from thesislib.fields import Count, Pixels, Positive, Seed, Share, between
from thesislib.places import user_path


class Parser(argparse.ArgumentParser):
    """One whose complaint is a line, not the whole usage, and whose options stand anywhere."""

    _mixed = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Options may also stand between words that may be missing or many.

        argparse alone takes those words before the first option and refuses the rest.
        """
        if self._subparsers is not None or self._mixed:
            return super().parse_known_args(args, namespace)
        self._mixed = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._mixed = False

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; `{self.prog} --help` says more.\n")


def number(kind: Any) -> Callable[[str], Any]:
    """For ``type=`` of an argument: the text as a number of a type of :mod:`thesislib.fields`."""
    whole, *rules = typing.get_args(kind)

    def parse(text: str) -> Any:
        try:
            value = whole(text)
        except ValueError:
            what = "whole number" if whole is int else "number"
            raise argparse.ArgumentTypeError(f"{text[:40]!r} is no {what}") from None
        for rule in rules:
            if must_be := rule.must_be(value):
                raise argparse.ArgumentTypeError(f"must be {must_be}, not {text[:40]}")
        return value

    return parse


def path(text: str) -> Path:
    """For ``type=``: a path as it was typed."""
    try:
        return user_path(text)
    except ThesisError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


count = number(Count)
natural = number(Annotated[int, between(0, 10**9)])
seed = number(Seed)
jobs = number(Annotated[int, between(1, 1024)])
pixels = number(Pixels)
layers = number(Annotated[int, between(0, 4)])
share = number(Share)
positive = number(Positive)
cosine = number(Annotated[float, between(-1, 1)])
not_negative = number(Annotated[float, between(0, 1e9)])
