"""A script as short as one gets: reads the samples, tokenizes, builds a small Llama with LoRA, makes one step and says
"step 1". The pair of `antiphon train` with train.steps=1: run.py takes the time from launch to that word."""

import json
import sys
import tomllib

config = tomllib.load(open(sys.argv[1], "rb"))

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoTokenizer, LlamaForCausalLM

from peer_common import PROJECTIONS, llama_config

tokenizer = AutoTokenizer.from_pretrained(config["model"]["llm"]["tokenizer"])
samples = [json.loads(line) for line in open(config["data"]["train"]["sources"][0]["path"])]
texts = [[{"role": m["role"], "content": m["content"]} for m in s["messages"]] for s in samples]
batch = tokenizer.apply_chat_template(texts, return_tensors="pt", return_dict=True)
model = get_peft_model(LlamaForCausalLM(llama_config(sys.argv[1])), LoraConfig(r=16, lora_alpha=32, task_type="CAUSAL_LM", target_modules=PROJECTIONS))
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4, fused=True)
model(input_ids=batch["input_ids"], labels=batch["input_ids"]).loss.backward()
optimizer.step()
print("step 1", flush=True)
