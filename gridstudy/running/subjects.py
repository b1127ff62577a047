"""Where a subject comes from, so that worker processes find the same one."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import tempfile
import traceback
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from gridstudy.core.errors import StudyError
from gridstudy.core.files import read_bytes
from gridstudy.core.subject import Data, Subject
from gridstudy.core.values import show

ATTRIBUTE = "subject"


@dataclass(frozen=True)
class SubjectSource:
    """A subject by its place: a module that can be imported, a file, or this process alone.

    `text` is the file's content, for machines that do not have the file.
    """

    module: str = ""
    path: Path | None = None
    text: str = ""
    here: Subject | None = None

    @property
    def is_portable(self) -> bool:
        """Whether other processes can load the subject."""
        return self.here is None

    def load(self) -> Subject:
        """Import the subject; raise StudyError where that fails."""
        if self.here is not None:
            return self.here
        if self.path is None:
            return _subject_of(importlib.import_module(self.module), self.module)
        if self.path.is_file():
            return load_subject(self.path)
        return _load_text(self.path.name, self.text)

    def files(self) -> list[Path]:
        """The files that define the subject: a package's modules, or the file and what it imported beside it."""
        if self.here is not None:
            found = (
                inspect.getsourcefile(inspect.unwrap(self.here.train)) if inspect.isfunction(self.here.train) else None
            )
            return [Path(found)] if found and Path(found).is_file() else []
        if self.path is None:
            file = importlib.import_module(self.module).__file__
            return sorted(Path(file or "").parent.glob("*.py"))
        folder = self.path.parent.resolve()
        loaded = [Path(getattr(module, "__file__", None) or "") for module in list(sys.modules.values())]
        # torch registers modules under relative names of files that do not exist
        return sorted({path for path in loaded if path.is_absolute() and path.resolve().parent == folder})


def source_of_file(path: Path) -> SubjectSource:
    """A subject file; raises StudyError where it cannot be read."""
    try:
        return SubjectSource(path=path.resolve(), text=read_bytes(path).decode("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise StudyError(f"cannot read the subject file {path}: {getattr(error, 'strerror', None) or error}") from None


@lru_cache
def load_subject(path: Path) -> Subject:
    """Import a subject file as a module whose folder is on the path; raise StudyError where that fails."""
    folder, name = str(path.parent), path.stem
    known = sys.modules.get(name)
    if known is not None and Path(getattr(known, "__file__", None) or "").resolve() != path:
        raise StudyError(f"the subject file {path} has the name of the module {name!r}, which is loaded; rename it")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise StudyError(f"a subject file is a Python file, like subject.py; got {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
        return _subject_of(module, str(path))
    except StudyError as error:
        del sys.modules[name]
        raise StudyError(f"the subject file {path}: {error}") from None
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, KeyboardInterrupt):
            raise
        raise StudyError(f"cannot import the subject file {path}: {_describe(error, path)}") from None


def prepare_data(subject: Subject, source: SubjectSource) -> Data:
    """The subject's data; raise StudyError where `prepare` does, or returns something else."""
    try:
        data = subject.prepare()
    except (StudyError, OSError, ImportError):  # told in one line as they are
        raise
    except Exception as error:
        reason = _describe(error, source.path)
        raise StudyError(f"cannot prepare the data of the subject {subject.name}: {reason}") from error
    if not isinstance(data, Data):
        raise StudyError(f"prepare() must return a gridstudy.Data, as gridstudy.make_data does; got {show(data)}")
    return data


def _load_text(name: str, text: str) -> Subject:
    with tempfile.TemporaryDirectory(prefix="gridstudy-subject-") as folder:
        path = (Path(folder) / name).resolve()
        path.write_text(text, encoding="utf-8")
        return load_subject(path)


def _subject_of(module: ModuleType, place: str) -> Subject:
    subject = getattr(module, ATTRIBUTE, None)
    if not isinstance(subject, Subject):
        raise StudyError(f"it must define {ATTRIBUTE} = gridstudy.Subject(...); got {show(subject)}")
    return subject


def _describe(error: BaseException, path: Path | None) -> str:
    """An error of the file in one line, with the line of the file where it arose."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == path]
    number = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {message}" + (f" (line {number})" if number else "")
