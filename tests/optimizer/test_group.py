from trained import make_model

from fmcycle.optimizer.adamw import adamw


def test_only_matrices_of_the_body_are_decayed():
    model = make_model()
    names = {id(p): name for name, p in model.named_parameters()}
    decayed = {names[id(p)] for group in adamw(model).param_groups if group["weight_decay"] for p in group["params"]}
    assert decayed == {name for name in names.values() if name.endswith("_proj.weight")}
    assert {names[id(p)] for group in adamw(model).param_groups for p in group["params"]} == set(names.values())
