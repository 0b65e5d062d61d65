"""What is written about the studies of the medical samples: concepts, captions, questions and answers.

All of it follows from a :class:`~baselines.medical.phantoms.Study` and a random generator. The quirks of real annotations are
kept: some concepts are forgotten, words have synonyms, captions are one word or twenty, with numbers, mixed case and signs that
are not ASCII. The concept codes have the campaign's form and belong to no concept of UMLS, which ends far below them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from baselines.medical.phantoms import ANGIOGRAPHY, BOTH, CT, MR, ULTRASOUND, VIEWS, XRAY, Study

MODALITIES: Mapping[str, tuple[str, ...]] = {
    CT: ("CT", "computed tomography", "CT scan", "Computed tomography scan"),
    MR: ("MRI", "magnetic resonance imaging", "MR image", "Magnetic resonance image"),
    XRAY: ("X-ray", "radiograph", "Plain film", "x-ray"),
    ULTRASOUND: ("ultrasound", "sonogram", "Ultrasound image", "sonography"),
    ANGIOGRAPHY: ("angiogram", "angiography", "Digital subtraction angiography", "DSA"),
}
ORGANS: Mapping[str, tuple[str, ...]] = {
    "brain": ("brain", "head", "skull"),
    "chest": ("chest", "thorax"),
    "abdomen": ("abdomen", "upper abdomen"),
    "pelvis": ("pelvis", "hips"),
    "spine": ("spine", "lumbar spine", "vertebral column"),
    "knee": ("knee", "knee joint"),
    "hand": ("hand", "wrist and hand"),
}
FINDINGS: Mapping[str, tuple[str, ...]] = {
    "mass": ("mass", "tumor", "space-occupying lesion", "tumour"),
    "hemorrhage": ("intracerebral hemorrhage", "haemorrhage", "intraparenchymal hematoma"),
    "infarction": ("infarction", "ischemic stroke", "infarct"),
    "hydrocephalus": ("hydrocephalus", "dilated ventricles", "ventriculomegaly"),
    "meningioma": ("meningioma",),
    "nodule": ("pulmonary nodule", "lung nodule", "coin lesion"),
    "effusion": ("pleural effusion", "pleural fluid"),
    "joint effusion": ("joint effusion", "effusion of the knee"),
    "pneumothorax": ("pneumothorax", "collapsed lung"),
    "metastases": ("hepatic metastases", "liver metastases", "multiple liver lesions"),
    "cyst": ("renal cyst", "cyst of the kidney", "simple cyst"),
    "stone": ("kidney stone", "renal calculus", "nephrolithiasis"),
    "fracture": ("fracture", "broken bone", "cortical disruption"),
    "fixation": ("internal fixation device", "plate and screws", "osteosynthesis"),
    "herniation": ("disc herniation", "herniated disk", "prolapsed disc"),
    "foreign body": ("foreign body", "metallic foreign body"),
    "cardiomegaly": ("cardiomegaly", "enlarged heart", "Cardiac enlargement"),
    "aneurysm": ("aneurysm", "saccular aneurysm"),
    "stenosis": ("stenosis", "arterial narrowing", "high-grade stenosis"),
}
TECHNIQUES: Mapping[str, tuple[str, ...]] = {
    "contrast": ("contrast-enhanced", "with intravenous contrast", "after contrast"),
    "t1": ("T1-weighted", "T1"),
    "t2": ("T2-weighted", "T2"),
    "doppler": ("color Doppler", "colour Doppler", "duplex"),
}
# What is seen beside, by the tissue that shows it; most studies have none of these among their concepts.
_DETAILS: Mapping[str, tuple[str, ...]] = {
    "brain": ("Cerebral ventricle", "White matter", "Skull"),
    "chest": ("Rib", "Heart", "Lung", "Diaphragm"),
    "abdomen": ("Liver", "Kidney", "Spleen", "Abdominal aorta"),
    "pelvis": ("Femoral head", "Sacrum", "Urinary bladder"),
    "spine": ("Intervertebral disc", "Spinal canal", "Vertebral body"),
    "knee": ("Tibia", "Femur", "Patella", "Fibula"),
    "hand": ("Phalanx", "Metacarpal bone", "Thumb"),
}
_RARE_DETAILS = (
    *("Azygos lobe", "Cavum septi pellucidi", "Bipartite patella", "Horseshoe kidney", "Accessory spleen", "Cervical rib"),
    *("Situs inversus", "Sesamoid bone", "Schmorl's node", "Calcified granuloma", "Pacemaker", "Ascites"),
)
_FIRST_CODE = 9_900_001


def finding_key(study: Study) -> str:
    """Return the key of a study's finding in :data:`FINDINGS`; a joint's effusion is another one than a lung's."""
    return "joint effusion" if study.finding == "effusion" and study.organ == "knee" else study.finding


def _concept_names() -> tuple[str, ...]:
    """Return the names of all concepts; their order decides the codes, so new ones go to the end."""
    studies = sorted({(view.modality, view.organ) for view in VIEWS})
    procedures = [_procedure(modality, organ) for modality, organ in studies]
    named = [words[0] for table in (MODALITIES, ORGANS, FINDINGS) for words in table.values()]
    planes = [f"{plane.capitalize()} plane" for plane in dict.fromkeys(view.plane for view in VIEWS)]
    sides = ["Left", "Right", "Bilateral"]
    techniques = ["Contrast media", "T1 weighting", "T2 weighting", "Doppler imaging"]
    details = [name for names in _DETAILS.values() for name in names]
    return tuple(dict.fromkeys([*procedures, *named, *planes, *sides, *techniques, *details, *_RARE_DETAILS, "Arrow"]))


def _procedure(modality: str, organ: str) -> str:
    return f"{MODALITIES[modality][0]} of {ORGANS[organ][0]}"


CODES = {name: f"C{_FIRST_CODE + number:07d}" for number, name in enumerate(_concept_names())}
_TECHNIQUE_CONCEPTS = dict(zip(TECHNIQUES, ("Contrast media", "T1 weighting", "T2 weighting", "Doppler imaging"), strict=True))


def draw_concepts(study: Study, rng: np.random.Generator) -> tuple[str, ...]:
    """Return the codes that an annotator gives a study: one to a dozen, each fact with a chance of being forgotten."""
    if rng.random() < 0.08:
        return (CODES[FINDINGS[finding_key(study)][0] if study.finding else _procedure(study.modality, study.organ)],)
    chances = [(_procedure(study.modality, study.organ), 0.85), (MODALITIES[study.modality][0], 0.6)]
    chances.append((ORGANS[study.organ][0], 0.8))
    if study.finding:
        chances.append((FINDINGS[finding_key(study)][0], 0.9))
    if study.side:
        chances.append((study.side.capitalize(), 0.5))
    if study.technique:
        chances.append((_TECHNIQUE_CONCEPTS[study.technique], 0.6))
    chances.append((f"{study.plane.capitalize()} plane", 0.35))
    if study.arrow:
        chances.append(("Arrow", 0.4))
    thorough = rng.random() < 0.06  # some annotators name everything
    chances += [(name, 0.8 if thorough else 0.06) for name in _DETAILS[study.organ]]
    chosen = [name for name, chance in chances if rng.random() < (1 if thorough and chance > 0.1 else chance)]
    if rng.random() < 0.04:
        chosen.append(_RARE_DETAILS[rng.integers(len(_RARE_DETAILS))])
    return tuple(CODES[name] for name in chosen or [ORGANS[study.organ][0]])


def draw_caption(study: Study, rng: np.random.Generator) -> str:
    """Return a caption: a word, a phrase or a sentence or two, in the words that the writer happens to prefer."""
    modality, organ = _one_of(MODALITIES[study.modality], rng), _one_of(ORGANS[study.organ], rng)
    finding = _one_of(FINDINGS[finding_key(study)], rng) if study.finding else ""
    style = rng.random()
    if style < 0.06:
        return finding.capitalize() if finding else modality
    if style < 0.16:
        return f"{finding} on {modality}".strip().capitalize() if finding else f"Normal {organ} {modality.lower()}"
    picture = _picture(study, modality, organ, rng)
    if not finding:
        endings = ("shows no abnormality.", "is normal.", "without pathological findings", "demonstrates normal anatomy.")
        return f"{picture} {_one_of(endings, rng)}"
    what = f"{_article(finding)}{finding}{_where(study, rng)}"
    if study.arrow:
        what += _one_of((" (arrow)", " (white arrow)", " (ARROW)", ", indicated by the arrow"), rng)
    verb = _one_of(("showing", "demonstrating", "shows", "reveals", "with"), rng)
    caption = f"{picture} {verb} {what}"
    if rng.random() < 0.3:
        across, high = study.size_mm / 10, max(1, round(study.size_mm * 0.8)) / 10
        measures = (
            f"measuring {across:.1f} × {high:.1f} cm",
            f"of {study.size_mm} mm",
            f"of about {across:.1f} cm in diameter",
        )
        caption += f" {_one_of(measures, rng)}"
    if rng.random() < 0.15:
        caption += _one_of(
            (
                ". The remaining structures are unremarkable and there is no further lesion",
                " – no other abnormality is seen in the visible part of the body",
                "; compare Fig. 2B and the patient’s earlier examination, where it was not yet to be seen",
            ),
            rng,
        )
    return caption + ("." if rng.random() < 0.7 else "")


def _picture(study: Study, modality: str, organ: str, rng: np.random.Generator) -> str:
    """Return the words for the picture itself, such as ``Axial contrast-enhanced CT of the brain``."""
    words = [study.plane.capitalize()] if rng.random() < 0.7 else []
    technique = _one_of(TECHNIQUES[study.technique], rng) if study.technique and rng.random() < 0.7 else ""
    is_before = bool(technique) and not technique.startswith(("with", "after"))
    if is_before:
        words.append(technique)
    words += [modality, "of the", organ]
    if technique and not is_before:
        words.append(technique)
    text = " ".join(words)
    return text[0].upper() + text[1:]


def _where(study: Study, rng: np.random.Generator) -> str:
    if not study.side or study.organ in {"knee", "hand"}:
        return f" of the {study.side} {study.organ}" if study.side else ""
    if study.side == BOTH:
        return _one_of((" on both sides", ", bilateral"), rng)
    return _one_of((f" on the {study.side}", f" on the {study.side} side", f", {study.side}-sided"), rng)


def _article(noun: str) -> str:
    is_plural = noun.rpartition(" ")[2] in {"metastases", "lesions", "ventricles", "screws", "fluid"}
    return "" if is_plural else "an " if noun[0].lower() in "aeiou" else "a "


def _one_of(choices: Sequence[str], rng: np.random.Generator) -> str:
    """Return one of some words; the first, which is the usual one, half of the time."""
    return choices[0] if len(choices) == 1 or rng.random() < 0.5 else choices[int(rng.integers(1, len(choices)))]


# ---------------------------------------------------------------------------------------------------- questions, answers

# How questions call a modality: "in the ct scan", "about this mri".
_CALLED = {CT: "ct scan", MR: "mri", XRAY: "x-ray", ULTRASOUND: "ultrasound", ANGIOGRAPHY: "angiogram"}
_SYSTEMS = {
    "brain": "skull and contents",
    "chest": "lung, mediastinum, pleura",
    "abdomen": "gastrointestinal",
    "pelvis": "musculoskeletal",
    "spine": "spine and contents",
    "knee": "musculoskeletal",
    "hand": "musculoskeletal",
}
_SHORT_SYSTEMS = {"skull and contents": "head", "lung, mediastinum, pleura": "chest", "spine and contents": "spine"}
_PLANES = {"frontal": "pa", "lateral": "lateral"}


def draw_answered_question(
    study: Study, rng: np.random.Generator, *, references: bool = False
) -> tuple[str, str, tuple[str, ...]]:
    """Return the category, a question of the campaign's templates, and its reference answers, as the campaign writes them.

    Args:
        study: What the question is about.
        rng: Chooses kind and template.
        references: Whether some answers get alternatives and mixed case, as in the test set of 2021; otherwise there is one.
    """
    called = _CALLED[study.modality]
    system = _SYSTEMS[study.organ]
    kind = ("abnormality", "modality", "plane", "organ", "yes/no")[rng.choice(5, p=(0.5, 0.14, 0.12, 0.12, 0.12))]
    if kind == "abnormality" and not study.finding:
        kind = "yes/no"
    if kind == "yes/no":
        question, answer = _yes_no(study, called, system, rng)
        return "abnormality", question, (answer,)
    if kind == "modality":
        modalities = (
            "what imaging modality was used to take this image?",
            "what modality is shown?",
            "how was this image taken?",
        )
        return kind, _one_of(modalities, rng), (_modality_answer(study),)
    if kind == "plane":
        planes = ("in what plane is this image?", f"what plane is the {called} displayed in?", "what image plane is this?")
        return kind, _one_of(planes, rng), (_PLANES.get(study.plane, study.plane),)
    if kind == "organ":
        organs = ("what organ system is shown in the image?", "what part of the body is being imaged?")
        return kind, _one_of(organs, rng), (system,)
    templates = (
        *("what is the primary abnormality in this image?", "what abnormality is seen in the image?"),
        *(f"what is abnormal in the {called}?", f"what is most alarming about this {called}?"),
    )
    names = FINDINGS[finding_key(study)]
    answers = [names[0].lower()]
    if references and rng.random() < 0.3:
        answers += [_odd(name, study, rng) for name in names[1 : 2 + int(rng.random() < 0.2)]]
    return kind, templates[rng.integers(4)], tuple(answers)


def _yes_no(study: Study, called: str, system: str, rng: np.random.Generator) -> tuple[str, str]:
    if rng.random() < 0.5:
        return f"is this a normal {_SHORT_SYSTEMS.get(system, system)} image?", "no" if study.finding else "yes"
    return f"is there an abnormality in the {called}?", "yes" if study.finding else "no"


def _modality_answer(study: Study) -> str:
    """Return the answer of 2019's list: with what was given, and how it is weighted."""
    plain = {XRAY: "xr - plain film", ULTRASOUND: "us - ultrasound", ANGIOGRAPHY: "an - angiogram"}
    if study.modality == CT:
        return "ct with iv contrast" if study.technique == "contrast" else "ct noncontrast"
    if study.modality == MR:
        return f"mr - {study.technique} weighted"
    return "us-d - doppler ultrasound" if study.technique == "doppler" else plain[study.modality]


def _odd(name: str, study: Study, rng: np.random.Generator) -> str:
    """Write an alternative answer as the references of 2021 do: mixed case, periods, no-break spaces, curly apostrophes."""
    side = f" of the {study.side} side" if study.side and study.side != BOTH else ""
    forms = (
        f"{name.capitalize()}{side}.",
        f"{name}, \u00a0{study.organ}",
        f"the patient’s {name}{side}",
        f"{name.title()}  ({study.organ})",
    )
    return forms[rng.integers(len(forms))]


def draw_questions(study: Study, rng: np.random.Generator) -> tuple[str, ...]:
    """Return one to six questions that somebody asks about a study, none twice, each with a capital and a question mark."""
    called, organ = _CALLED[study.modality], ORGANS[study.organ][0]
    asked = [
        f"Is the {organ} normal?",
        f"What does the {called} show?",
        f"In what plane is the {called}?",
        f"Is contrast seen in the {called}?",
    ]
    asked += [f"Is the {detail.lower()} visible?" for detail in _DETAILS[study.organ]]
    if study.finding:
        name = FINDINGS[finding_key(study)][0]
        asked += [
            f"Is {_article(name)}{name} present?",
            f"Where is the {name} located?",
            f"How large is the {name}?",
        ]
        if study.side:
            asked.append(f"Which side is affected by the {name}?")
        if study.arrow:
            asked += ["What does the arrow point at?", "What’s marked by the arrow?"]
    count = min(len(asked), int(rng.choice(6, p=(0.1, 0.12, 0.25, 0.23, 0.2, 0.1))) + 1)
    # What is special about the picture is asked for more often than what every picture has.
    weights = np.linspace(1, 3, len(asked))
    chosen = rng.choice(len(asked), size=count, replace=False, p=weights / weights.sum())
    return tuple(asked[index] for index in chosen)
