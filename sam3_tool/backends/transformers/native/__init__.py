"""SAM 3's weights as their authors publish them: `sam3.pt`, `sam3.1_multiplex.pt`, and these names in safetensors."""
