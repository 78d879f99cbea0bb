"""The program around the model: command line, state, audio, MIDI, rendering and the services the window talks to."""
