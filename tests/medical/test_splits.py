"""Which images are trained on, and which are held out."""

from baselines.medical.splits import divide


def test_a_division_depends_on_ids_share_and_seed_alone():
    names = [f"synpic{number}" for number in range(50)]
    train, held_out = divide(names, 0.2, seed=3)
    assert (len(train), len(held_out)) == (40, 10)
    assert divide(names[::-1], 0.2, seed=3) == (train, held_out)
    assert divide(names, 0.2, seed=4) != (train, held_out)
    assert sorted(train + held_out) == sorted(names)
    assert divide(["a"], 0.5, seed=0) == (["a"], [])
    assert [len(part) for part in divide(["a", "b"], 0.01, seed=0)] == [1, 1]
