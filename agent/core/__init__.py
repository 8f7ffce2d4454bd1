"""The values that everything else passes around; this room imports sam3_tool only."""
