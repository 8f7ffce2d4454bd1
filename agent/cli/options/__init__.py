"""The options of commands, as typer declares them and as the program reads them."""
