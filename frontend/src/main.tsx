import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './App';
import { applyTheme } from './ui/Shell';
import './styles/base.css';
import './styles/parts.css';
import './styles/views.css';

const theme = localStorage.getItem('inos.theme');
if (theme === 'light' || theme === 'dark') applyTheme(theme);

const root = document.getElementById('root');
if (root) createRoot(root).render(<StrictMode><App /></StrictMode>);
