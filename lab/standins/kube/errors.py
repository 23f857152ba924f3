"""The API's errors: Status objects with the texts of k8s.io/apimachinery/pkg/api/errors and util/validation/field."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


class ApiError(Exception):
    """A request that fails; `status` is the body that answers it."""

    def __init__(self, code: int, reason: str, message: str, details: Json | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details

    @property
    def status(self) -> Json:
        """The v1 Status object a client gets."""
        body: Json = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "code": self.code,
        }
        if self.reason:
            body["reason"] = self.reason
        if self.details:
            body["details"] = self.details
        return body


@dataclass(frozen=True)
class FieldError:
    """One cause of an Invalid answer; `text` is what follows the field's path."""

    field: str
    reason: str
    text: str

    def __str__(self) -> str:
        return f"{self.field}: {self.text}"


def _shown(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def required(field: str, detail: str = "") -> FieldError:
    """A field that must be there."""
    return FieldError(field, "FieldValueRequired", "Required value" + (f": {detail}" if detail else ""))


def invalid_value(field: str, value: object, detail: str) -> FieldError:
    """A value that breaks a rule."""
    return FieldError(field, "FieldValueInvalid", f"Invalid value: {_shown(value)}: {detail}")


def type_invalid(field: str, value: object, detail: str) -> FieldError:
    """A value of the wrong type."""
    return FieldError(field, "FieldValueTypeInvalid", f"Invalid value: {_shown(value)}: {detail}")


def unsupported(field: str, value: object, supported: Iterable[str]) -> FieldError:
    """A value that is not one of a few."""
    choices = ", ".join(f'"{choice}"' for choice in supported)
    return FieldError(
        field, "FieldValueNotSupported", f"Unsupported value: {_shown(value)}: supported values: {choices}"
    )


def duplicate(field: str, value: object) -> FieldError:
    """A value that is there twice."""
    return FieldError(field, "FieldValueDuplicate", f"Duplicate value: {_shown(value)}")


def field_not_found(field: str, value: object) -> FieldError:
    """A reference to nothing."""
    return FieldError(field, "FieldValueNotFound", f"Not found: {_shown(value)}")


def forbidden_field(field: str, detail: str) -> FieldError:
    """A field that may not be set, or not so."""
    return FieldError(field, "FieldValueForbidden", f"Forbidden: {detail}")


def too_long(field: str, maximum: int) -> FieldError:
    """A value of more bytes than allowed."""
    return FieldError(field, "FieldValueTooLong", f"Too long: may not be more than {maximum} bytes")


def invalid(kind: str, group: str, name: str, causes: Sequence[FieldError]) -> ApiError:
    """422: the object breaks the rules `causes` name."""
    texts = list(dict.fromkeys(str(cause) for cause in causes))
    listed = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    qualified = f"{kind}.{group}" if group else kind
    details: Json = {"name": name, "kind": kind, "causes": []}
    if group:
        details["group"] = group
    for cause in causes:
        details["causes"].append({"reason": cause.reason, "message": cause.text, "field": cause.field})
    return ApiError(422, "Invalid", f'{qualified} "{name}" is invalid: {listed}', details)


def _named(code: int, reason: str, resource: str, group: str, name: str, text: str) -> ApiError:
    """An error about one object; in `text`, {} stands for the object's qualified name."""
    qualified = f"{resource}.{group}" if group else resource
    details: Json = {"name": name, "kind": resource}
    if group:
        details["group"] = group
    return ApiError(code, reason, text.replace("{}", f'{qualified} "{name}"', 1), details)


def not_found(resource: str, group: str, name: str) -> ApiError:
    """404: no such object."""
    return _named(404, "NotFound", resource, group, name, "{} not found")


def already_exists(resource: str, group: str, name: str) -> ApiError:
    """409: the name is taken."""
    return _named(409, "AlreadyExists", resource, group, name, "{} already exists")


def conflict(resource: str, group: str, name: str, why: str = "") -> ApiError:
    """409: an update based on an old version, or with a precondition that does not hold."""
    text = why or "the object has been modified; please apply your changes to the latest version and try again"
    return _named(409, "Conflict", resource, group, name, "Operation cannot be fulfilled on {}: " + text)


def forbidden(resource: str, group: str, name: str, why: str) -> ApiError:
    """403: an admission rule says no."""
    return _named(403, "Forbidden", resource, group, name, "{} is forbidden: " + why)


def bad_request(message: str) -> ApiError:
    """400: the request makes no sense."""
    return ApiError(400, "BadRequest", message)


def internal(message: str) -> ApiError:
    """500: the server could not."""
    return ApiError(500, "InternalError", message)


def unknown_path() -> ApiError:
    """404: nothing is served there."""
    return ApiError(404, "NotFound", "the server could not find the requested resource", {})


def unsupported_media_type(accepted: Sequence[str]) -> ApiError:
    """415: the body is in a form the server does not read."""
    text = "the body of the request was in an unknown format - accepted media types include: " + ", ".join(accepted)
    return ApiError(415, "UnsupportedMediaType", text)


def method_not_allowed() -> ApiError:
    """405: not done to this."""
    return ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")


def expired(asked: int, oldest: int) -> ApiError:
    """410: the changes since then are no longer known."""
    return ApiError(410, "Expired", f"too old resource version: {asked} ({oldest})")


def unauthorized() -> ApiError:
    """401: no token, or a wrong one."""
    return ApiError(401, "Unauthorized", "Unauthorized")
