"""Small sweeps that several tests share."""

LAW = {"kind": "lecun_normal"}
BOOLEAN = {
    "name": "boolean",
    "task": {"kind": "boolean", "bits": 7, "train": 4},
    "model": {"kind": "mlp", "widths": [8]},
    "accept": {"train_error": 0.0},
    "sources": {
        "sgd": {
            "kind": "train",
            "init": LAW,
            "optimizer": {"kind": "sgd", "learning_rate": 0.1},
            "stop": {"max_steps": 500},
            "runs": 128,
        },
        "guess": {"kind": "guess_and_check", "law": LAW, "accepted": 128},
        "init": {"kind": "prior", "law": LAW, "draws": 512},
    },
    "axes": {"task.target": ["x1", "x1 | (x2 & x3)"]},
    "observables": ["norms", "function", "complexity"],
}
"""Of the form of boolean.yaml; its results are the fixture `boolean_results`."""
