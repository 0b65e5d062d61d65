"""The half that participants need: modules, data, callbacks and the loop. torch may be imported from here on."""
