"""What a training is made from: rows, tokenizer, adapter, and the hub that they come from."""
