"""Networks and how they are trained: teachers, students, distillation."""
