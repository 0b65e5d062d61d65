"""Medical images: captions, questions and tuberculosis."""
