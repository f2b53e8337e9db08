"""The floor of the house: who exists and who may. Imports nothing of ours."""
