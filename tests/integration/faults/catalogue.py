"""The faults that are planted, what is said of each, and what the author does about it.

The page on the faults of plugins is made from this.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        what: the plugin does.
        old: source text of the plugin without a fault, which is there once.
        new: what stands there instead.
        when: the command by which it is found.
        says: what of it is told, word for word.
        remedy: what the author does.
    """

    what: str
    old: str
    new: str
    when: str
    says: str
    remedy: str


_ENCODER = "encoder 'own' of own-plugin 1.0"
_MODEL = "model 'own' of own-plugin 1.0"

AT_LOAD = (
    Fault(
        "`requires` holds a name, no `Requirement`",
        'target="own_parts:Enc", config',
        'target="own_parts:Enc", requires=("miditok",), config',
        "plugins",
        "requires of encoder 'own' must be",
        'give `Requirement("miditok", "pip install miditok")`',
    ),
    Fault(
        "a layout is misspelt",
        'layouts=("tokens",),\n        defaults',
        'layouts=("token",),\n        defaults',
        "plugins",
        "layouts of model 'own': there is no 'token'; did you mean 'tokens'?",
        "name the layout as it is",
    ),
    Fault(
        "a target without a name",
        "own_parts:Cost",
        "own_parts.Cost",
        "plugins",
        "target of loss 'own' must be 'package.module:name'",
        "a colon between module and class",
    ),
    Fault(
        "a name with a blank",
        'MetricDeclaration(name="own"',
        'MetricDeclaration(name="my own"',
        "plugins",
        "the name of metric 'my own' must be of small letters",
        "small letters, digits, hyphens and dots",
    ),
    Fault(
        "a hook that is not there",
        "def musengine_losses",
        "def musengine_loss",
        "plugins",
        "there is no hook 'musengine_loss'; did you mean 'musengine_losses'?",
        "name the hook as it is",
    ),
    Fault(
        "a hook returns one declaration, no list",
        'return [LossDeclaration(name="own", summary="", target="own_parts:Cost")]',
        'return LossDeclaration(name="own", summary="", target="own_parts:Cost")',
        "plugins",
        "musengine_losses must return a list of LossDeclaration",
        "return a list",
    ),
    Fault(
        "a hook returns another kind of declaration",
        'return [LossDeclaration(name="own"',
        'return [MetricDeclaration(name="own"',
        "plugins",
        "musengine_losses must return LossDeclaration, returned MetricDeclaration",
        "each hook has its own declaration",
    ),
    Fault(
        "the module cannot be imported",
        "from dataclasses import dataclass\n",
        "import not_there\nfrom dataclasses import dataclass\n",
        "plugins",
        "ModuleNotFoundError: No module named 'not_there'",
        "depend on what you import",
    ),
    Fault(
        "a default for a key that is not there",
        'defaults={"encoder": {"type": "own"}}',
        'defaults={"encoder": {"type": "own"}, "training": {"stepps": 3}}',
        "check",
        "did you mean 'steps'?",
        "name tables and keys as pipelines do",
    ),
    Fault(
        "a default outside its own bounds",
        'defaults={"encoder": {"type": "own"}}',
        'defaults={"encoder": {"type": "own"}, "training": {"batch_size": 0}}',
        "check",
        "batch_size",
        "keep the bounds of the key",
    ),
    Fault(
        "a class that is not there",
        "own_parts:Net",
        "own_parts:Nett",
        "check",
        "model 'own' of own-plugin 1.0 cannot be loaded from 'own_parts:Nett'",
        "let `target` name the class",
    ),
)

AT_RUN = (
    Fault(
        "a reader gives something else than pieces",
        "return [Piece(item.id, score)]",
        "return [score]",
        "run",
        "reader 'own' of own-plugin 1.0: read()",
        "return `Piece`s",
    ),
    Fault(
        "a reader raises",
        "pitches = [int(word)",
        "pitches = [int('x' + word)",
        "run",
        "reader 'own' of own-plugin 1.0 failed: ValueError",
        "raise `UnreadableError` where a file holds no music",
    ),
    Fault(
        "tokens out of range",
        "steps[::2] = content.pitch + 1",
        "steps[::2] = content.pitch + 100",
        "run",
        "at step 0, of a vocabulary of 129",
        "the encoder's numbers are below `layout.size`",
    ),
    Fault(
        "steps of another shape",
        "return Encoded(steps)",
        "return Encoded(steps[:, None])",
        "run",
        f"{_ENCODER} failed: steps have the shape (1,), the layout ()",
        "one number for each token",
    ),
    Fault(
        "tokens that are real numbers",
        "return Encoded(steps)",
        "return Encoded(steps / 1)",
        "run",
        f"{_ENCODER} failed: tokens are of type float64, expected whole numbers",
        "whole numbers",
    ),
    Fault(
        "an encoder's state that is no JSON",
        "        return passed\n\n    def state(self):\n        return {}",
        "        return passed\n\n    def state(self):\n        return {'seen': {1, 2}}",
        "run",
        f"{_ENCODER}: state(): is not JSON",
        "lists, dicts with names, numbers and strings",
    ),
    Fault(
        "decode returns None",
        "steps[steps > 0] - 1\n        return Score.from_notes(",
        "steps[steps > 0] - 1\n        Score.from_notes(",
        "run",
        f"{_ENCODER}: decode()",
        "return a `Score` or `Text` for every array",
    ),
    Fault(
        "decode raises",
        "pitches = steps[steps > 0] - 1",
        "pitches = steps[steps > 0] - 1\n        raise KeyError('chord')",
        "run",
        f"{_ENCODER}: decode()",
        "make music of every array a model may draw",
    ),
    Fault(
        "decode gives notes that cannot be",
        "pitches = steps[steps > 0] - 1",
        "pitches = steps[steps > 0] + 200",
        "run",
        f"{_ENCODER}: decode()",
        "pitches from 0 to 127",
    ),
    Fault(
        "elapsed runs backwards",
        "        return passed\n",
        "        return -passed\n",
        "run",
        f"{_ENCODER}: elapsed(), while preparing the run: runs backwards",
        "time at the end of each step, never less than before",
    ),
    Fault(
        "elapsed stands still",
        "        return passed\n",
        "        return passed * 0\n",
        "run",
        f"{_ENCODER}: elapsed(), while preparing the run: stands still: 0 beats",
        "count the time of each step, or let `tells_time` be False",
    ),
    Fault(
        "elapsed of another length",
        "        return passed\n",
        "        return passed[:-1]\n",
        "run",
        f"{_ENCODER}: elapsed()",
        "one time for each step",
    ),
    Fault(
        "forward returns None",
        "        return Output(logits=logits, targets=batch.targets, mask=batch.mask)",
        "        Output(logits=logits, targets=batch.targets, mask=batch.mask)",
        "run",
        f"{_MODEL}: forward(), while training: returned None, expected an Output",
        "return an `Output`",
    ),
    Fault(
        "logits of another shape",
        "nn.Linear(config.units, 129)",
        "nn.Linear(config.units, 128)",
        "run",
        f"{_MODEL}: forward(), while training: logits of the shape",
        "a logit for each token of the layout",
    ),
    Fault(
        "a mask that would be broadcast",
        "mask=batch.mask)",
        "mask=batch.mask[:, :1])",
        "run",
        "it would be broadcast",
        "pass `batch.mask`",
    ),
    Fault(
        "logits without targets",
        "targets=batch.targets, mask",
        "targets=None, mask",
        "run",
        "returned logits without targets; pass batch.targets",
        "pass `batch.targets`",
    ),
    Fault(
        "logits that are whole numbers",
        "logits = self.output(self.embedding(batch.inputs))",
        "logits = self.output(self.embedding(batch.inputs)).long()",
        "run",
        "logits are torch.int64, expected real numbers",
        "real numbers",
    ),
    Fault(
        "forward raises",
        "logits = self.output(self.embedding(batch.inputs))",
        "logits = self.output(self.embedding(batch.inputs[0, 0, 0]))",
        "run",
        f"{_MODEL}: forward(), while training (own_parts.py, line ",
        "`MUSENGINE_STRICT=1` shows the way there",
    ),
    Fault(
        "forward raises where validation is measured",
        "logits = self.output(self.embedding(batch.inputs))",
        "logits = self.output(self.embedding(batch.inputs if self.training else None))",
        "run",
        f"{_MODEL}: forward(), while measuring the validation part (own_parts.py, line ",
        "what was trained is saved; the same command goes on",
    ),
    Fault(
        "logits without a gradient",
        "return Output(logits=logits, targets",
        "return Output(logits=logits.detach(), targets",
        "run",
        f"{_MODEL}: forward(), while training: no gradient leads from the loss to a parameter",
        "compute them from parameters, without `detach` and `no_grad`",
    ),
    Fault(
        "a loss that is no scalar",
        "        return negative_log_likelihood(output, self.layout)",
        "        return negative_log_likelihood(output, self.layout)\n\n"
        "    def __call__(self, output, reduction='mean'):\n        return self.per_step(output)",
        "run",
        "loss 'own' of own-plugin 1.0: __call__(), while training: the loss has the shape",
        "one number for a batch",
    ),
    Fault(
        "start is missing",
        "    def start(self, pieces):\n        return torch.zeros(pieces, 1)\n",
        "",
        "run",
        f"{_MODEL}: start(), while generating",
        'write `start`, or declare `generation="own"`',
    ),
    Fault(
        "step returns logits alone",
        "return self.output(self.embedding(last)), state",
        "return self.output(self.embedding(last))",
        "run",
        f"{_MODEL}: step(), while generating: returned a Tensor, expected a tuple of two",
        "return the logits and the state",
    ),
    Fault(
        "logits of a step that are no numbers",
        "return self.output(self.embedding(last)), state",
        "return self.output(self.embedding(last)) * float('nan'), state",
        "run",
        "returned logits that are no numbers (NaN)",
        "look for a division by zero, or a logarithm of it",
    ),
    Fault(
        "step raises",
        "return self.output(self.embedding(last)), state",
        "return self.output(self.embedding(last)), state[1]['cell']",
        "run",
        f"{_MODEL}: step(), while generating (own_parts.py, line ",
        "`MUSENGINE_STRICT=1` shows the way there",
    ),
    Fault(
        "propose returns the choice alone",
        "\n\nclass Cost(Loss):",
        "\n    def propose(self, context, draw):\n        return draw(context)"
        "\n\n\nclass Cost(Loss):",
        "run",
        f"{_MODEL}: propose(), while generating: returned a Tensor, expected a Proposal",
        "return a `Proposal`",
    ),
    Fault(
        "propose chooses outside the vocabulary",
        "\n\nclass Cost(Loss):",
        "\n    def propose(self, context, draw):\n        from musengine.api import Proposal\n"
        "        return Proposal(draw(context) * 0 + 500, context)\n\n\nclass Cost(Loss):",
        "run",
        "chose the token 500 of a vocabulary of 129",
        "choose with `draw`",
    ),
    Fault(
        "a sampler returns another shape",
        "        return logits\n\n    def observe",
        "        return logits[:, :-1]\n\n    def observe",
        "run",
        "'own' of own-plugin 1.0: logits(), while generating: what it returned of the shape",
        "the shape that it was given",
    ),
    Fault(
        "a sampler returns None",
        "        return logits\n\n    def observe",
        "        return None\n\n    def observe",
        "run",
        "sampler 'own' of own-plugin 1.0: logits(), while generating: returned None",
        "return the logits",
    ),
    Fault(
        "a sampler reviews all pieces as one",
        "    def observe(self, choice):\n        pass",
        "    def observe(self, choice):\n        pass\n\n"
        "    def review(self, proposal, history):\n        return (proposal.choice == 0).any()",
        "run",
        "sampler 'own' of own-plugin 1.0: review(), while generating: what it returned",
        "a bool for each piece, or None",
    ),
    Fault(
        "a sampler limits with a mask for one piece",
        "    def observe(self, choice):\n        pass",
        "    def observe(self, choice):\n        pass\n\n"
        "    def limit(self, limits, history):\n        return type(limits)(\n"
        "            limits.forbidden[:1], limits.forced)",
        "run",
        "sampler 'own' of own-plugin 1.0: limit(), while generating: forbidden of the shape",
        "masks like those in the limits that it was given",
    ),
    Fault(
        "a sampler raises",
        "    def observe(self, choice):\n        pass",
        "    def observe(self, choice):\n        self.last.append(choice)",
        "run",
        "sampler 'own' of own-plugin 1.0: observe(), while generating (own_parts.py, line ",
        "what it keeps begins in `begin`",
    ),
    Fault(
        "a metric returns a number without a name",
        'return {"own": 1.0}',
        "return 1.0",
        "run",
        "metric 'own' of own-plugin 1.0: measure(), while measuring valid: returned a float",
        "return figures by name",
    ),
    Fault(
        "a figure that is no number",
        'return {"own": 1.0}',
        'return {"own": evidence}',
        "run",
        "the figure 'own' is a Evidence, no number",
        "numbers, or mappings of them",
    ),
    Fault(
        "a writer writes nothing",
        "path.write_text(str(len(content)))",
        "pass",
        "run",
        "writer 'own' of own-plugin 1.0: write()",
        "write to the path that is given",
    ),
    Fault(
        "a writer raises",
        "path.write_text(str(len(content)))",
        "raise ValueError('no notes')",
        "run",
        "is not written: writer 'own' of own-plugin 1.0: write()",
        "raise `UnwritableError` where one piece cannot be written",
    ),
    Fault(
        "a callback raises",
        "    def on_step(self, progress):\n        pass",
        "    def on_step(self, progress):\n        self.steps += 1",
        "run",
        "callback 'own' of own-plugin 1.0: on_step(), while training (own_parts.py, line ",
        "`MUSENGINE_STRICT=1` shows the way there",
    ),
    Fault(
        "a callback's state that is no JSON",
        "        pass\n\n    def state(self):\n        return {}",
        "        pass\n\n    def state(self):\n        return {'when': object()}",
        "run",
        "callback 'own' of own-plugin 1.0: state(), while training: is not JSON",
        "lists, dicts with names, numbers and strings",
    ),
    Fault(
        "an optimizer factory returns a class",
        "return torch.optim.SGD(groups, lr=0.1)",
        "return torch.optim.SGD",
        "run",
        "optimizer 'own' of own-plugin 1.0: create(): returned a type",
        "return the optimizer of the groups",
    ),
    Fault(
        "a schedule returns no number",
        "    def factor(self, progress):\n        return 1.0",
        "    def factor(self, progress):\n        return None",
        "run",
        "schedule 'own' of own-plugin 1.0: factor(), while training: returned None",
        "a number of at least 0",
    ),
    Fault(
        "a batch beyond the end of a piece",
        "Row(piece, 0, int(length))",
        "Row(piece, 0, int(length) + 1)",
        "run",
        "batching 'own' of own-plugin 1.0: plan()",
        "rows lie within their piece, or repeat it",
    ),
    Fault(
        "a batching strategy's factor is no number",
        "    def plan(self, random):",
        "    def rate_factor(self, piece):\n        return None\n\n    def plan(self, random):",
        "run",
        "batching 'own' of own-plugin 1.0: rate_factor(), while training: returned None",
        "a number of at least 0",
    ),
    Fault(
        "a command without an exit status",
        "def command(parsed, context):\n    return 0",
        "def command(parsed, context):\n    pass",
        "own",
        "command 'own' of own-plugin 1.0 returned NoneType, expected an exit status",
        "return an `ExitStatus`",
    ),
    Fault(
        "a command raises",
        "def command(parsed, context):\n    return 0",
        "def command(parsed, context):\n    return parsed.corpus",
        "own",
        "plugin own (own-plugin 1.0): command() (own_parts.py, line ",
        "raise `UserError` for what the user can mend",
    ),
)
