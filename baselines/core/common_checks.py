"""The rules that hold for the data set of every task: files, ids, splits, classes."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from baselines.core.checks import RARE, Checks, DataSet, Distribution, Rule, histogram, tally
from baselines.core.findings import Finding, Severity, shorten, show_id
from baselines.core.images import PROBLEMS, hash_words, near_pairs

_ERROR, _WARNING, _INFO = Severity.ERROR, Severity.WARNING, Severity.INFO

SHIFT = 0.1  # total variation distance between two splits' class shares from which they differ strongly
BLANK_SPREAD = 2.0  # standard deviation of the grey values under which an image is blank
MAX_IDS = 5  # listed in one finding
FEW_SIZES = 12  # of images, up to which each is shown
SIDE_EDGES = (0, 64, 128, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 8192, 65_536)
ASPECT_EDGES = (0, 0.25, 0.5, 0.67, 0.8, 0.95, 1.05, 1.25, 1.5, 2, 4, 1000)

IMAGE_FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".gif": "GIF", ".bmp": "BMP", ".tif": "TIFF", ".tiff": "TIFF"}


def common_rules(checks: Checks) -> Iterator[Rule]:
    """Yield the rules that a task's checks leave to the common ones."""
    yield from (_counts, _image_files, _image_sizes, _same_content, _near_duplicates, _split_ids, _confusable_ids)
    if checks.label:
        yield lambda data_set: _label_conflicts(data_set, checks)
    if checks.classes:
        yield lambda data_set: _classes(data_set, checks)
    if checks.group:
        yield lambda data_set: _groups(data_set, checks)
    yield lambda data_set: _changed_since(data_set, checks)


def _counts(data_set: DataSet) -> Iterator[Finding]:
    for name, split in data_set.splits.items():
        what = f"the {name} split has {len(split.samples)} samples"
        yield Finding("DATA-COUNT", _INFO, what, str(data_set.root), id=name, value=str(len(split.samples)))


def _image_files(data_set: DataSet) -> Iterator[Finding]:
    """Tell what is wrong with single image files."""
    modes = Counter(facts.mode for facts in data_set.images.values() if not facts.problem)
    usual = modes.most_common(1)[0][0] if modes else ""
    suffixes = Counter(path.suffix for path in data_set.images)
    for path, facts in data_set.images.items():
        if facts.problem:
            rule, message = PROBLEMS[facts.problem]
            hint = "copy the file again, or leave it out"
            yield Finding(f"DATA-{rule}", _ERROR, message, str(path), value=facts.detail, hint=hint)
        due = IMAGE_FORMATS.get(path.suffix.lower())
        if facts.format and due and facts.format != due:
            hint = "give the file the extension of its content"
            yield Finding("DATA-IMAGE-TYPE", _WARNING, f"the content is {facts.format}, not {due}", str(path), hint=hint)
        if facts.orientation != 1:
            hint = "rotate the pixels and remove the tag: readers differ in whether they follow it"
            value = f"orientation {facts.orientation}"
            yield Finding("DATA-IMAGE-EXIF", _WARNING, "the EXIF data ask for a rotation", str(path), value=value, hint=hint)
        if not facts.problem and facts.spread < BLANK_SPREAD:
            value = f"standard deviation of grey {facts.spread:.2f}"
            yield Finding("DATA-IMAGE-BLANK", _WARNING, "the image has almost one colour", str(path), value=value)
        if not facts.problem and facts.mode != usual:
            what = f"the colour mode is {facts.mode}, that of most is {usual}"
            yield Finding("DATA-IMAGE-MODE", _INFO, what, str(path))
        if suffixes[path.suffix] < suffixes.get(path.suffix.swapcase(), 0):
            yield Finding("DATA-FILE-CASE", _INFO, "the extension is in another case than most", str(path), value=path.suffix)


def _image_sizes(data_set: DataSet) -> Iterator[Finding]:
    """Where nearly all images have one size, tell those that haven't."""
    sizes = Counter((facts.width, facts.height) for facts in data_set.images.values() if not facts.problem)
    if not sizes:
        return
    (usual, count), total = sizes.most_common(1)[0], sizes.total()
    if count < 0.9 * total or count == total:
        return
    for path, facts in data_set.images.items():
        if not facts.problem and (facts.width, facts.height) != usual:
            what = "the size is not that of nearly all images, {}×{}".format(*usual)
            yield Finding("DATA-IMAGE-SIZE", _WARNING, what, str(path), value=f"{facts.width}×{facts.height}")


def _by_image(data_set: DataSet) -> dict[Path, tuple[str, Any]]:
    """Return one sample, with its split, of every image file."""
    return {sample.image: (name, sample) for name, sample in data_set.samples() if getattr(sample, "image", None)}


def _copies(data_set: DataSet) -> Iterator[list[tuple[str, Any]]]:
    """Yield the samples, with their splits, of images that are the same byte for byte or pixel for pixel."""
    samples = _by_image(data_set)
    groups: dict[str, list[tuple[str, Any]]] = defaultdict(list)
    for path, facts in data_set.images.items():
        if facts.pixel_hash:
            groups[facts.pixel_hash].append(samples[path])
    yield from (group for group in groups.values() if len(group) > 1)


def _same_content(data_set: DataSet) -> Iterator[Finding]:
    """Tell images that occur twice."""
    for group in _copies(data_set):
        splits = sorted({split for split, _ in group})
        across = len(splits) > 1
        (_, first), (_, second), *_ = group
        value = ", ".join(show_id(sample.image.name) for _, sample in group[1 : MAX_IDS + 1])
        what = f"the same image {'is in ' + ' and '.join(splits) if across else f'is there {len(group)} times'}"
        code, severity = ("DATA-SPLIT-CONTENT", _ERROR) if across else ("DATA-CONTENT-DUPLICATE", _WARNING)
        other, hint = str(second.image), "keep one of them"
        yield Finding(code, severity, what, str(first.image), id=first.id, value=value, hint=hint, other=other)


def _label_conflicts(data_set: DataSet, checks: Checks) -> Iterator[Finding]:
    """Tell images that occur twice with different labels."""
    assert checks.label
    for group in _copies(data_set):
        told: dict[str, tuple[Any, tuple[str, ...]]] = {}
        for split, sample in group:
            asked, label = checks.label(sample) or ("", ())
            if not label:
                continue
            first, known = told.setdefault(asked, (sample, label))
            if label != known:
                what = f"a copy in {split} of the same image has another label"
                seen = f"{show_id(sample.id)}: {shorten(', '.join(label))}, not {shorten(', '.join(known))}"
                value, hint, other = f"{asked}: {seen}" if asked else seen, "decide which is right", str(sample.image)
                file = str(first.image)
                yield Finding("DATA-LABEL-CONFLICT", _ERROR, what, file, id=first.id, value=value, hint=hint, other=other)


def _near_duplicates(data_set: DataSet) -> Iterator[Finding]:
    """Tell images that look alike; in different splits they reward what was learnt by heart."""
    samples = _by_image(data_set)
    blank = {path for path, facts in data_set.images.items() if facts.spread < BLANK_SPREAD}
    paths = [path for path, facts in data_set.images.items() if facts.difference_hash and path not in blank]
    words = hash_words(data_set.images[path].difference_hash for path in paths)
    for first, second in near_pairs(words, data_set.settings.near_distance).tolist() if paths else ():
        one, other = paths[first], paths[second]
        (split, sample), (other_split, other_sample) = samples[one], samples[other]
        if data_set.images[one].pixel_hash == data_set.images[other].pixel_hash:
            continue
        bits = sum(int(word).bit_count() for word in words[first] ^ words[second])
        value = f"{show_id(other_sample.id)}, {bits} of 256 bits differ"
        if split == other_split:
            what = f"two images of {split} look alike"
            yield Finding("DATA-NEAR-DUPLICATE", _INFO, what, str(one), id=sample.id, value=value, other=str(other))
        else:
            what = f"an image of {split} looks like one of {other_split}"
            hint = "look at both; keep near duplicates in one split"
            yield Finding("DATA-SPLIT-NEAR", _WARNING, what, str(one), id=sample.id, value=value, hint=hint, other=str(other))


def _split_ids(data_set: DataSet) -> Iterator[Finding]:
    """Tell ids that are in two splits."""
    splits: dict[str, list[str]] = defaultdict(list)
    for name, sample in data_set.samples():
        if name not in splits[sample.id]:
            splits[sample.id].append(name)
    for key, names in splits.items():
        if len(names) > 1:
            what = f"the id is in {' and '.join(names)}"
            yield Finding("DATA-SPLIT-ID", _ERROR, what, str(data_set.root), id=key, hint="keep it in one split")


def _confusable_ids(data_set: DataSet) -> Iterator[Finding]:
    """Tell ids that are equal up to case, blanks or extension."""
    plain: dict[str, str] = {}
    for _, sample in data_set.samples():
        key = re.sub(r"(\.nii)?\.[a-z]{2,4}$", "", "".join(sample.id.lower().split()))
        other = plain.setdefault(key, sample.id)
        if other != sample.id:
            what = f"differs from {show_id(other)} in case, blanks or extension alone"
            yield Finding("DATA-ID-CASE", _WARNING, what, str(data_set.root), id=sample.id, hint="runs will mix them up")


def class_counts(data_set: DataSet, checks: Checks) -> dict[str, Counter[str]]:
    """Return how many items of each class each labelled split has."""
    assert checks.classes
    counts: dict[str, Counter[str]] = {}
    for name, split in data_set.splits.items():
        counter = Counter(each for sample in split.samples for each in checks.classes(split, sample))
        if counter:
            counts[name] = counter
    return counts


def _classes(data_set: DataSet, checks: Checks) -> Iterator[Finding]:
    """Tell classes without items, with few, and with other shares in other splits."""
    counts = class_counts(data_set, checks)
    names = list(checks.class_names(data_set)) if checks.class_names else sorted(set().union(*counts.values()))
    root = str(data_set.root)
    for split, counter in counts.items():
        if len(names) > 1 and len(counter) == 1 and counter.total() > 1:
            only = next(iter(counter))
            yield Finding("DATA-LABEL-CONSTANT", _ERROR, f"every item of {split} has the same class", root, value=shorten(only))
        for name in names:
            if not counter[name] and len(names) <= len(counter) * 2:
                hint = "leave it out of the list of classes, or look for its items"
                yield Finding("DATA-CLASS-UNUSED", _WARNING, f"no item of {split} has the class", root, id=name, hint=hint)
            elif split in ("train", "all") and 0 < counter[name] < RARE * counter.total() / len(names):
                value = f"{counter[name]} of {counter.total()}"
                what = f"few items of {split} have the class"
                yield Finding("DATA-CLASS-RARE", _WARNING, what, root, id=name, value=value)
    for (one, first), (other, second) in pairwise(counts.items()):
        distance = sum(abs(first[name] / first.total() - second[name] / second.total()) for name in {*first, *second}) / 2
        if distance > SHIFT:
            largest = max({*first, *second}, key=lambda name: abs(first[name] / first.total() - second[name] / second.total()))
            shares = [counter[largest] / counter.total() for counter in (first, second)]
            value = f"{largest}: {shares[0]:.1%} and {shares[1]:.1%}"
            what = f"class shares differ between {one} and {other} (total variation {distance:.2f})"
            yield Finding("DATA-CLASS-SHIFT", _INFO, what, root, value=value)


def _groups(data_set: DataSet, checks: Checks) -> Iterator[Finding]:
    """Tell groups, such as patients, that are in two splits."""
    assert checks.group
    severity = checks.codes["DATA-SPLIT-GROUP"].severity if "DATA-SPLIT-GROUP" in checks.codes else _ERROR
    hint = "" if severity is _INFO else "keep it in one split"
    members: dict[str, dict[str, str]] = defaultdict(dict)
    for name, sample in data_set.samples():
        group = checks.group(sample)
        if group:
            members[group].setdefault(name, sample.id)
    for group, ids in members.items():
        if len(ids) > 1:
            what = f"the group is in {' and '.join(ids)}"
            value = ", ".join(show_id(each) for each in ids.values())
            yield Finding("DATA-SPLIT-GROUP", severity, what, str(data_set.root), id=group, value=value, hint=hint)


def _changed_since(data_set: DataSet, checks: Checks) -> Iterator[Finding]:
    """Tell what differs from the earlier release: ids, their splits, their classes and what else they are labelled with."""
    if not data_set.earlier:
        return
    before = {sample.id: (name, split, sample) for name, split in data_set.earlier.items() for sample in split.samples}
    now = {sample.id: (name, split, sample) for name, split in data_set.splits.items() for sample in split.samples}
    for name, missing, release in (("new", now.keys() - before.keys(), "earlier"), ("gone", before.keys() - now.keys(), "new")):
        if missing:
            listed = ", ".join(show_id(key) for key in sorted(missing)[:MAX_IDS])
            what = f"{len(missing)} {data_set.card.unit}s are not in the {release} release"
            yield Finding("DATA-RELEASE-ID", _INFO, what, str(data_set.root), id=name, value=shorten(listed))
    for key in sorted(now.keys() & before.keys()):
        (name, *new), (old_name, *old) = now[key], before[key]
        file, hint = str(getattr(new[1], "image", None) or data_set.root), "say so in the notes of the release"
        if name != old_name:
            value = f"{old_name}, now {name}"
            yield Finding("DATA-RELEASE-SPLIT", _WARNING, "the split has changed", file, id=key, value=value, hint=hint)
        are_labelled = all(getattr(sample, "truth", None) is not None for _, sample in (old, new))
        if are_labelled and (change := _change(old, new, checks)):
            yield Finding(
                "DATA-RELEASE-LABEL", _WARNING, "the label has changed", file, id=key, value=shorten(change), hint=hint
            )


def _change(old: Sequence[Any], new: Sequence[Any], checks: Checks) -> str:
    """Say how the classes of a sample, or else its label, differ between two releases; each is a split and its sample."""
    if checks.classes:
        counts = Counter(checks.classes(*new))
        counts.subtract(checks.classes(*old))
        differences = [f"{name} {count:+d}" for name, count in sorted(counts.items()) if count]
        if differences:
            return ", ".join(differences)
    before, after = (_texts(sample, checks) for _, sample in (old, new))
    return f"{shorten(' / '.join(before), 60)}, now {shorten(' / '.join(after), 60)}" if before != after else ""


def _texts(sample: Any, checks: Checks) -> tuple[str, ...]:
    """Return what is asked and what is true of a sample in words, as copies must agree on it, or else as it is written."""
    label = checks.label(sample) if checks.label else None
    return (label[0], *label[1]) if label else tuple(getattr(sample.truth, "texts", ()))


def common_distributions(data_set: DataSet, checks: Checks) -> Iterator[Distribution]:
    """Yield what the report shows of any task: items by class; sizes of images, or their sides and shapes if sizes are many."""
    if checks.classes and (counts := class_counts(data_set, checks)):
        yield tally("items by class", counts)
    sizes: dict[str, list[tuple[int, int]]] = {}
    for name, split in data_set.splits.items():
        known = (data_set.image_of(sample) for sample in split.samples)
        found = [(facts.width, facts.height) for facts in known if facts and not facts.problem]
        if found:
            sizes[name] = found
    if 0 < len(set().union(*sizes.values())) <= FEW_SIZES:
        yield tally("image sizes", {name: Counter("{}×{}".format(*size) for size in found) for name, found in sizes.items()})
    elif sizes:
        yield histogram("longer side of images, pixels", _of_each(sizes, max), SIDE_EDGES)
        yield histogram("width to height of images", _of_each(sizes, lambda size: size[0] / size[1]), ASPECT_EDGES)


def _of_each(sizes: dict[str, list[tuple[int, int]]], what: Callable[[tuple[int, int]], float]) -> dict[str, list[float]]:
    return {name: [what(size) for size in found] for name, found in sizes.items()}
