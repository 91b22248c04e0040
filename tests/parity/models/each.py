"""A tensor of each instruction set: what transformers computes to compare with is computed once for all of them."""

import torch


class Each(torch.Tensor):
    """What the chosen kernels gave, and in `others` what those of lesser processors did. A function of it is one of each; a number is the
    largest of theirs, so that a difference is that of the worst; anything else must be the same of all."""

    @staticmethod
    def of(tensors):
        each = tensors[0].as_subclass(Each)
        each.others = tensors[1:]
        return each

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if function is torch.Tensor.__iter__:
            return iter(args[0].unbind(0))
        count = 1 + max(len(each.others) for each in found((args, kwargs or {})))
        with torch._C.DisableTorchFunctionSubclass():
            # The first at last: it is what stays in a tensor that is written to and has no others.
            results = [function(*picked(args, i), **picked(kwargs or {}, i)) for i in reversed(range(count))][::-1]
        return joined(results, function)


def found(value):
    if isinstance(value, Each):
        return [value]
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, (list, tuple)):
        return []
    return [each for part in value for each in found(part)]


def picked(value, i):
    """Of each tensor in it the i-th one."""
    if isinstance(value, Each):
        return value.others[i - 1] if i else value.as_subclass(torch.Tensor)
    if isinstance(value, dict):
        return {key: picked(part, i) for key, part in value.items()}
    if type(value) in (list, tuple):
        return type(value)(picked(part, i) for part in value)
    return value


def joined(results, source):
    """One value for those of all instruction sets, which differ by no more than rounding. `source` is named if they do."""
    first = results[0]
    if isinstance(first, torch.Tensor):
        return Each.of(results)
    if isinstance(first, dict):
        if any(one.keys() != first.keys() for one in results):
            raise AssertionError(f"{source}: the instruction sets give {[sorted(one) for one in results]}")
        return {key: joined([one[key] for one in results], f"{source}, {key}") for key in first}
    if isinstance(first, (list, tuple)) and all(len(one) == len(first) for one in results):
        parts = [joined(parts, source) for parts in zip(*results)]
        return parts if isinstance(first, list) else tuple(parts) if type(first) is tuple else type(first)(parts)
    if isinstance(first, float):
        return max(results, key=abs) if all(one == one for one in results) else float("nan")
    if isinstance(first, (bool, int, str)) and any(one != first for one in results):
        raise AssertionError(f"{source}: the instruction sets give {results}")
    return first
