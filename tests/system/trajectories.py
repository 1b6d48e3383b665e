#!/usr/bin/env python3
"""Data sets of a real session, loaded by those who read them: Hugging Face datasets, TRL's own trainers, verl's own RL loader.

Usage: trajectories.py KEVOLVE. A short session of the generator and a model that leaks secrets everywhere (models/careless.py) is exported in every
format. Checked always: secrets are in none, nothing that cheated or failed is chosen, splits hold. Checked where the packages are installed, and said
to be skipped where not:

    python3 -m venv /tmp/loaders && /tmp/loaders/bin/pip install torch datasets trl zstandard teich     # and verl, for its own loader
    KEVOLVE_LOADERS_PYTHON=/tmp/loaders/bin/python ./kevolve test -R trajectories

Exits 77 (skipped) after the other checks where datasets or trl is missing.
"""
import importlib.util
import json
import os
import subprocess
import sys
import tempfile

from models import careless

HERE = os.path.dirname(os.path.abspath(__file__))
FORMATS = ["sft", "dpo", "kto", "grpo", "verl", "sts"]
ENVIRONMENT = "planted-environment-0123456789"
IN_FILE = "planted-file-key-0123456789"
PLANTED = [careless.TOKEN, careless.COMPILED, "/home/planted", ENVIRONMENT, IN_FILE]


def run(kevolve, folder, *arguments, status=0):
    environment = {**os.environ, "KEVOLVE_PYTHON": "none", "KEVOLVE_BASELINES": "none", "CARELESS_API_KEY": careless.COMPILED, "VENDOR": ENVIRONMENT}
    done = subprocess.run([kevolve, *arguments, "--data", os.path.join(folder, "data"), "--config", os.path.join(folder, "config.toml")], env=environment, capture_output=True, text=True)
    assert done.returncode == status, (arguments, done.returncode, done.stdout[-2000:], done.stderr[-2000:])
    return done.stdout


def configure(folder):
    key = os.path.join(folder, "key")
    with open(os.open(key, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
        file.write(IN_FILE + "\n")
    with open(os.path.join(folder, "config.toml"), "w") as file:
        file.write(f"""
[llm.providers.careless]
kind = "exec"
command = ["{sys.executable}", "{HERE}/models/careless.py"]
[llm.providers.vendor]
kind = "openai-chat"
base_url = "http://127.0.0.1:9/v1"
api_key_env = "VENDOR"
[llm.providers.other]
kind = "anthropic"
base_url = "http://127.0.0.1:9"
api_key_file = "{key}"
""")


def rows_of(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def is_chat(turns):
    return isinstance(turns, list) and turns and all(set(t) == {"role", "content"} and t["role"] in ("system", "user", "assistant") and isinstance(t["content"], str) for t in turns)


def check_rows(name, rows):
    """What a format promises, whoever reads it."""
    for row in rows:
        if name == "sts":
            assert (row["type"], row["harness"]) == ("session", "kevolve") and row["id"] if row["type"] == "session" else is_chat([{k: row["message"][k] for k in ("role", "content")}]), row
            continue
        assert is_chat(row["prompt"]) and row["prompt"][-1]["role"] == "user", row["prompt"]
        for answer in ("completion", "chosen", "rejected"):
            assert answer not in row or (is_chat(row[answer]) and len(row[answer]) == 1 and row[answer][0]["role"] == "assistant")
        if name == "sft":
            assert row["outcome"] == "passed" and not row["integrity_violation"] and row["reward"] > 0.3
        if name == "dpo":
            assert row["chosen_outcome"] == "passed" and row["chosen_reward"] > row["rejected_reward"]
        if name == "kto":
            assert row["label"] == (row["outcome"] == "passed" and row["reward"] > 0.3) or row["outcome"] == "passed"
        if name == "grpo":
            assert len(row["answers"]) == len(row["rewards"]) > 0
        if name == "verl":
            assert row["reward_model"]["style"] == "rule" and json.loads(row["reward_model"]["ground_truth"])["operator"] == "softmax_n4096"
    if name == "sts":
        assert rows[0]["type"] == "session" and sum(r["type"] == "session" for r in rows) == 1
    if name == "verl":
        assert [r["extra_info"]["index"] for r in rows] == list(range(len(rows)))
    if name == "kto":
        assert {r["provider"] for r in rows} == {"careless", None} and {r["label"] for r in rows} == {True, False}
        said = json.dumps(rows)
        assert any(r["outcome"] == "compile_error" and "[secret]" in r["feedback"] for r in rows), "no compiler said the secret back"
        assert any("[secret]" in r["completion"][0]["content"] for r in rows), "no answer held the secret"


def search(kevolve, folder):
    """Sessions until something gained beyond the noise (on a busy host a first one may prove nothing) and something of the same parents was worse."""
    for seed in range(3, 9):
        run(kevolve, folder, "optimize", "softmax_n4096", "--synthesizer", "generator,careless", "--evaluations", "14", "--seed", str(seed), "--in-flight", "4")
        if all(run(kevolve, folder, "export", "--trajectories", name) for name in ("sft", "dpo")):
            return seed - 2
    raise AssertionError("six sessions brought no gain")


def export(kevolve, folder):
    print(f"{search(kevolve, folder)} sessions")
    files = {}
    for name in FORMATS:
        files[name] = os.path.join(folder, name + ".jsonl")
        one = ["--session", "last"] if name == "sts" else []
        answer = json.loads(run(kevolve, folder, "export", "--trajectories", name, "--output", files[name], "--json", *one))
        with open(files[name], encoding="utf-8") as file:
            text = file.read()
        for secret in PLANTED:
            assert secret not in text, (name, secret)
        rows = rows_of(files[name])
        assert len(rows) == answer["rows"] > 0, (name, answer)
        check_rows(name, rows)
        run(kevolve, folder, "export", "--trajectories", name, "--output", files[name] + ".zst", *one)
        assert run(kevolve, folder, "export", "--trajectories", name, *one) == text
        print(f"{name}: {len(rows)} rows")
    half = json.loads(run(kevolve, folder, "export", "--trajectories", "kto", "--split", "train", "--operator", "softmax_n4096", "--output", files["kto"] + ".train", "--json"))
    assert half["rows"] == len(rows_of(files["kto"]))
    run(kevolve, folder, "export", "--trajectories", "kto", "--split", "test", status=1)
    run(kevolve, folder, "export", "--trajectories", "sts", "--output", os.path.join(folder, "transcripts") + "/")
    assert rows_of(files["sts"]) in [rows_of(os.path.join(folder, "transcripts", name)) for name in os.listdir(os.path.join(folder, "transcripts"))]
    without = json.loads(run(kevolve, folder, "export", "--trajectories", "kto", "--exclude-provider", "careless", "--output", files["kto"] + ".without", "--json"))
    assert 0 < without["rows"] < half["rows"] and all(r["provider"] is None for r in rows_of(files["kto"] + ".without"))
    return files


def tiny_model(folder, texts):
    """One layer and tokens learnt from the text itself: enough for the trainers to prepare and use a data set, without a download."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokens = Tokenizer(models.BPE())
    tokens.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokens.decoder = decoders.ByteLevel()
    tokens.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=4000, special_tokens=["<end>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    fast = PreTrainedTokenizerFast(tokenizer_object=tokens, eos_token="<end>", pad_token="<end>")
    fast.chat_template = ("{% for m in messages %}<{{ m['role'] }}>{% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] }}<end>{% endgeneration %}{% else %}{{ m['content'] }}{% endif %}"
                          "{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}")
    path = os.path.join(folder, "tiny")
    config = LlamaConfig(vocab_size=len(fast), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, max_position_embeddings=1 << 17)
    LlamaForCausalLM(config).save_pretrained(path)
    fast.save_pretrained(path)
    return path, fast


def check_trl(files, sets, folder):
    import trl
    from trl.data_utils import is_conversational

    for name in ("sft", "dpo", "kto", "grpo", "verl"):
        assert is_conversational(sets[name][0]), name
    model, tokens = tiny_model(folder, [turn["content"] for row in rows_of(files["kto"]) for turn in row["prompt"] + row["completion"]])
    common = dict(output_dir=os.path.join(folder, "trl"), max_steps=1, per_device_train_batch_size=2, use_cpu=True, report_to="none", bf16=False, save_strategy="no", disable_tqdm=True)
    sft = trl.SFTTrainer(model=model, args=trl.SFTConfig(**common, max_length=None), train_dataset=sets["sft"], processing_class=tokens)
    first = sft.train_dataset[0]
    learnt = tokens.decode([t for t, of_answer in zip(first["input_ids"], first["completion_mask"]) if of_answer]) if "completion_mask" in first else None
    if learnt is not None:
        assert rows_of(files["sft"])[0]["completion"][0]["content"].strip() in learnt and "Operator" not in learnt.split("```")[0], learnt[:200]
    dpo = trl.DPOTrainer(model=model, args=trl.DPOConfig(**common, max_length=None), train_dataset=sets["dpo"], processing_class=tokens)
    kto = trl.KTOTrainer(model=model, args=trl.KTOConfig(**common, max_length=None), train_dataset=sets["kto"], processing_class=tokens)
    seen = []

    def reward(completions, plain_latency_s, operator, **more):
        seen.extend(operator)
        return [float(len(c)) for c in completions]

    grpo = trl.GRPOTrainer(model=model, reward_funcs=reward, args=trl.GRPOConfig(**common, num_generations=2, max_completion_length=4), train_dataset=sets["grpo"], processing_class=tokens)
    for trainer in (dpo, kto, grpo):
        trainer.train()
    assert "softmax_n4096" in seen
    print(f"trl {trl.__version__}: SFT prepared, DPO, KTO and GRPO trained a step")


def check_verl(files, folder):
    from omegaconf import OmegaConf
    from verl.utils.dataset.rl_dataset import RLHFDataset, collate_fn

    _, tokens = tiny_model(folder, [turn["content"] for row in rows_of(files["verl"]) for turn in row["prompt"]])
    config = OmegaConf.create({"cache_dir": os.path.join(folder, "verl"), "max_prompt_length": 1 << 20, "filter_overlong_prompts_workers": 1, "return_raw_chat": True})
    loaded = RLHFDataset(data_files=files["verl"], tokenizer=tokens, config=config)
    assert len(loaded) == len(rows_of(files["verl"]))
    batch = collate_fn([loaded[i] for i in range(len(loaded))])
    assert list(batch["index"]) == list(range(len(loaded))) and set(batch["data_source"]) == {"kevolve"}
    print("verl's RLHFDataset read them")


def load(files, folder):
    import datasets

    datasets.disable_progress_bars()
    sets = {name: datasets.load_dataset("json", data_files=path, split="train", cache_dir=os.path.join(folder, "cache")) for name, path in files.items() if name != "sts"}
    for name, path in files.items():
        if name == "sts":
            continue
        assert len(sets[name]) == len(rows_of(path)), name
        if importlib.util.find_spec("zstandard"):
            assert len(datasets.load_dataset("json", data_files=path + ".zst", split="train", cache_dir=os.path.join(folder, "cache"))) == len(sets[name])
        sets[name].to_parquet(path + ".parquet")
    print(f"datasets {datasets.__version__} loaded every format but sts and wrote it as parquet")
    if not importlib.util.find_spec("teich"): # what datasets reads transcripts of agents with
        print("skipped: sts by datasets: no teich; pip install teich")
        return sets
    transcript = datasets.load_dataset("json", data_files=files["sts"], split="train", cache_dir=os.path.join(folder, "cache"))
    said = [r["message"]["content"].strip() for r in rows_of(files["sts"]) if r["type"] == "message"]
    assert len(transcript) == 1 and transcript[0]["session_id"] == rows_of(files["sts"])[0]["id"]
    assert [m["content"].strip() for m in transcript[0]["messages"]] == said
    print("datasets read the transcript as one session")
    return sets


def main():
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    with tempfile.TemporaryDirectory() as folder:
        configure(folder)
        files = export(sys.argv[1], folder)
        missing = [name for name in ("datasets", "trl") if not importlib.util.find_spec(name)]
        if missing:
            print(f"skipped: loading by their consumers: no {' and no '.join(missing)}; pip install datasets trl zstandard")
            sys.exit(77)
        sets = load(files, folder)
        check_trl(files, sets, folder)
        if importlib.util.find_spec("verl"):
            check_verl(files, folder)
        else:
            print("skipped: verl's own loader: no verl; pip install verl")


if __name__ == "__main__":
    main()
